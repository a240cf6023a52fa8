"""What will go says so in each reply, in time."""

from datetime import date

import pytest
from drf_spectacular.generators import SchemaGenerator
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from tenants.api.deprecation import deprecated

PAGE = "https://silo.example/changes#old"


class OldView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @deprecated(since=date(2026, 11, 22), sunset=date(2027, 11, 22), instead=PAGE)
    def get(self, request):
        if "missing" in request.query_params:
            raise NotFound
        return Response({})

    def delete(self, request):
        return Response(status=204)


class ADeprecatedOperation:
    @pytest.mark.parametrize("query", [{}, {"missing": "1"}])
    def test_says_since_when_until_when_and_where_to_read_on(self, query):
        reply = OldView.as_view()(APIRequestFactory().get("/", query))
        assert reply["Deprecation"] == "@1795305600"
        assert reply["Sunset"] == "Mon, 22 Nov 2027 00:00:00 GMT"
        assert reply["Link"] == f'<{PAGE}>; rel="deprecation"'

    def test_says_nothing_of_its_neighbours(self):
        assert "Deprecation" not in OldView.as_view()(APIRequestFactory().delete("/"))

    def test_is_marked_in_the_openapi(self):
        from django.urls import path

        schema = SchemaGenerator(patterns=[path("api/v1/old/", OldView.as_view())]).get_schema(public=True)
        operations = schema["paths"]["/api/v1/old/"]
        assert operations["get"]["deprecated"]
        assert "deprecated" not in operations["delete"]

    def test_gives_its_users_half_a_year(self):
        with pytest.raises(ValueError, match="180 days"):
            deprecated(since=date(2026, 11, 22), sunset=date(2026, 12, 24), instead=PAGE)
