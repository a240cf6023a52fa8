"""The accounts API's paths, below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from accounts.api import passwords, verification, views

urlpatterns = [
    path("auth/register/", views.RegisterView.as_view(), name="register"),
    path("auth/login/", views.LoginView.as_view(), name="login"),
    path("auth/logout/", views.LogoutView.as_view(), name="logout"),
    path("auth/logout/everywhere/", views.LogoutEverywhereView.as_view(), name="logout-everywhere"),
    path("auth/password/", passwords.PasswordView.as_view(), name="password"),
    path("auth/password/reset/", passwords.ResetsView.as_view(), name="password-resets"),
    path("auth/password/reset/<str:link>/", passwords.ResetView.as_view(), name="password-reset"),
    path("auth/verify-email/", verification.VerificationsView.as_view(), name="email-verifications"),
    path("auth/verify-email/<str:link>/", verification.VerificationView.as_view(), name="email-verification"),
    path("me/", views.MeView.as_view(), name="me"),
]
