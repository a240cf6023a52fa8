"""What goes in and out of the fleet API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.text import OnlySlug, OnlyText, TextualSerializer
from tenants.api.serializers import LabelsField
from tenants.models import Rollout, RolloutAttempt, Server

SHOWN_FAILURES = 100
"""A reply stays readable with thousands of them."""


class ServerSerializer(TextualSerializer[Server]):
    """A PostgreSQL server that holds tenant databases."""

    class Meta:
        model = Server
        fields: tuple[str, ...] = (
            *("id", "name", "host", "port", "pooler_host", "pooler_port"),
            *("region", "capacity", "state", "created_at"),
        )
        read_only_fields = ("created_at",)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        Server(**attrs).clean()
        return attrs


class OnlyBoolean(serializers.BooleanField):
    """Refuses what REST framework takes for one: 0, "off", "n"."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StartRolloutSerializer(serializers.Serializer[Any]):
    """What ``migrate_tenants`` takes, under the same names. All of it may be left out: every tenant, to the latest."""

    # No slug, which may begin with `--`: on the command line it would be an option, such as `--fake`.
    app_label = serializers.RegexField(
        r"^[A-Za-z_][A-Za-z0-9_]*\Z", required=False, help_text="A tenant app; without it, all of them."
    )
    migration = serializers.RegexField(
        r"^([A-Za-z0-9_]+|[+-][1-9][0-9]*)\Z",
        required=False,
        help_text="Its name or the unique beginning of one, `zero`, or steps such as `-1`.",
    )
    tenants = serializers.ListField(child=OnlySlug(), required=False, help_text="Slugs: only these.")
    exclude = serializers.ListField(child=OnlySlug(), required=False, help_text="Slugs: not these.")
    labels = LabelsField(required=False, help_text="Only those labelled so.")
    server = OnlyText(required=False, help_text="Only those on the server of this name.")
    only_failed = OnlyBoolean(required=False, help_text="Only those whose last try failed.")
    canary = OnlyText(required=False, help_text="`3`, `2%` or slugs with commas: migrated first.")
    waves = OnlyText(required=False, help_text="`5%,25%,100%`: in waves, each up to this share.")
    max_failures = OnlyText(required=False, help_text="`5` or `2%`: begin no more above it.")
    on_error = serializers.ChoiceField(choices=("stop", "continue"), required=False)
    workers = serializers.IntegerField(min_value=1, max_value=64, required=False, help_text="Tenants at a time.")
    lock_timeout = OnlyText(required=False, help_text="`2s`: how long a statement may wait for a lock.")
    statement_timeout = OnlyText(required=False, help_text="`15min`: how long a statement may run.")
    resume = serializers.UUIDField(required=False, help_text="Go on with this rollout as it was asked for.")

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "migration" in asked and "app_label" not in asked:
            raise serializers.ValidationError({"app_label": "A migration needs the app that it is of."})
        if "resume" in asked and len(asked) > 1:
            raise serializers.ValidationError({"resume": "It takes all else from the rollout that it goes on with."})
        return asked

    def arguments(self) -> list[str]:
        """The same for the command line. As ``--name=value``, so that no value is read as an option."""
        asked = dict(self.validated_data)
        where = [asked.pop(name) for name in ("app_label", "migration") if name in asked]
        given = [("tenant", slug) for slug in asked.pop("tenants", ())]
        given += [("label", f"{key}={value}") for key, value in asked.pop("labels", {}).items()]
        given += [("exclude", slug) for slug in asked.pop("exclude", ())]
        flags = ["--only-failed"] if asked.pop("only_failed", False) else []
        given += [(name.replace("_", "-"), value) for name, value in asked.items()]
        return [*where, *flags, *(f"--{name}={value}" for name, value in given)]


class OutcomesSerializer(serializers.Serializer[dict[str, int]]):
    """How many tenants of a rollout are in each state, as far as is written down; ``pending`` have none yet."""

    total = serializers.IntegerField()
    migrated = serializers.IntegerField()
    up_to_date = serializers.IntegerField()
    failed = serializers.IntegerField()
    skipped = serializers.IntegerField()
    pending = serializers.IntegerField()


class RolloutSerializer(serializers.ModelSerializer[Rollout]):
    """One run that brings a set of tenants to a target."""

    tenants = OutcomesSerializer(source="*", read_only=True)
    started_by = serializers.EmailField(source="started_by.email", read_only=True, allow_null=True)

    class Meta:
        model = Rollout
        fields: tuple[str, ...] = (
            *("id", "state", "target", "options", "tenants", "started_by", "os_user", "code_version", "plan_hash"),
            *("wanted", "wanted_by", "started_at", "finished_at"),
        )
        read_only_fields = fields


class FailureSerializer(serializers.ModelSerializer[RolloutAttempt]):
    """Why a tenant is not where it should be."""

    tenant = serializers.CharField(
        source="tenant.slug",
        allow_null=True,
        default=None,
        help_text="Null for the template, or a tenant that has gone.",
    )

    class Meta:
        model = RolloutAttempt
        fields = ("tenant", "migration", "sqlstate", "error", "message", "attempts")
        read_only_fields = fields


class OneRolloutSerializer(RolloutSerializer):
    """One run, with its failures."""

    failures = serializers.SerializerMethodField(help_text=f"The first {SHOWN_FAILURES}; the counts are of all.")

    class Meta(RolloutSerializer.Meta):
        fields = (*RolloutSerializer.Meta.fields, "failures")
        read_only_fields = fields

    @extend_schema_field(FailureSerializer(many=True))
    def get_failures(self, rollout: Rollout) -> Any:
        failed = rollout.attempts.filter(state=RolloutAttempt.State.FAILED).select_related("tenant")
        return FailureSerializer(failed[:SHOWN_FAILURES], many=True).data


class DriftSerializer(serializers.Serializer[Any]):
    """How a tenant's schema differs from what its recorded migrations make."""

    tenant = serializers.CharField()
    missing = serializers.ListField(child=serializers.CharField(), help_text="What the migrations make and it lacks.")
    added = serializers.ListField(child=serializers.CharField(), help_text="What it has and no migration makes.")
    error = serializers.CharField(allow_null=True, help_text="Why it cannot be told, where it cannot.")


class HeadSerializer(serializers.Serializer[dict[str, Any]]):
    """A group: the tenants whose databases stand at the same head."""

    head = serializers.DictField(
        child=serializers.CharField(), help_text="The last applied migration of each tenant app."
    )
    tenants = serializers.IntegerField(help_text="How many stand there.")
    behind = serializers.BooleanField(help_text="Whether they lack a migration that the code has.")


class HeadsSerializer(serializers.Serializer[Any]):
    """All groups at once: there are as many as there are heads, however many tenants."""

    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = HeadSerializer(many=True)
