"""Users, the tokens with which their programs sign in, and what is remembered of failures to."""

from accounts.models.brake import Brake
from accounts.models.token import Token
from accounts.models.user import LowerCaseEmailField, User, UserManager

__all__ = ["Brake", "LowerCaseEmailField", "Token", "User", "UserManager"]
