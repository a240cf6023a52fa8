"""What is remembered of look-ups, and for how long."""

from __future__ import annotations

import pytest

from tenants.models import Server, Tenant
from tenants.routing import cache as caches
from tenants.routing.cache import TenantCache


class Main:
    """Counts how often it is asked."""

    def __init__(self, *slugs: str) -> None:
        self.tenants = {slug: Tenant(slug=slug) for slug in slugs}
        self.asked: list[str] = []

    def find(self, cache: TenantCache, slug: str) -> Tenant | None:
        def query() -> Tenant | None:
            self.asked.append(slug)
            return self.tenants.get(slug)

        return cache.look_up(slug, query)


@pytest.fixture
def main() -> Main:
    return Main("acme", "globex")


@pytest.fixture
def cache() -> TenantCache:
    cache = TenantCache()
    cache.open()
    return cache


class ALookUp:
    def test_asks_once(self, main: Main, cache: TenantCache) -> None:
        found = [main.find(cache, "acme"), main.find(cache, "acme")]
        assert (found, main.asked) == ([main.tenants["acme"]] * 2, ["acme"])

    def test_that_found_nobody_asks_once(self, main: Main, cache: TenantCache) -> None:
        found = [main.find(cache, "nobody"), main.find(cache, "nobody")]
        assert (found, main.asked) == ([None, None], ["nobody"])

    def test_gives_each_caller_an_instance_of_its_own(self, main: Main, cache: TenantCache) -> None:
        found = [main.find(cache, "acme") for _ in range(3)]
        assert len({id(tenant) for tenant in found}) == 3

    def test_shows_nobody_what_another_caller_changed(self, main: Main, cache: TenantCache) -> None:
        kept = main.tenants["acme"]
        kept.server = Server(name="here")
        main.find(cache, "acme")
        changed = main.find(cache, "acme")
        assert changed is not None
        changed.slug, changed.server, changed._state.db = "other", Server(name="there"), "other"
        found = main.find(cache, "acme")
        assert found is not None
        assert (found.slug, found._state.db, found.server.name) == ("acme", kept._state.db, "here")

    @pytest.mark.parametrize(("slug", "life"), [("acme", "LIFE_S"), ("nobody", "LIFE_OF_NOBODY_S")])
    def test_asks_again_after_a_while(
        self, main: Main, cache: TenantCache, monkeypatch: pytest.MonkeyPatch, slug: str, life: str
    ) -> None:
        monkeypatch.setattr(caches, life, 0)
        main.find(cache, slug)
        main.find(cache, slug)
        assert main.asked == [slug, slug]

    def test_asks_again_after_a_change_and_only_for_what_changed(self, main: Main, cache: TenantCache) -> None:
        main.find(cache, "acme")
        main.find(cache, "globex")
        cache.drop(["acme"])
        main.find(cache, "acme")
        main.find(cache, "globex")
        assert main.asked == ["acme", "globex", "acme"]

    def test_is_not_kept_where_a_change_came_while_it_asked(self, cache: TenantCache) -> None:
        def query_while_it_changes() -> Tenant:
            cache.drop(["acme"])
            return Tenant(slug="acme", name="as it was")

        cache.look_up("acme", query_while_it_changes)
        found = cache.look_up("acme", lambda: Tenant(slug="acme", name="as it is"))
        assert found is not None
        assert found.name == "as it is"

    def test_is_not_kept_while_nobody_hears_of_changes(self, main: Main, cache: TenantCache) -> None:
        main.find(cache, "acme")
        cache.shut()
        main.find(cache, "acme")
        main.find(cache, "acme")
        assert len(main.asked) == 3

    def test_of_slugs_at_random_pushes_no_tenant_out(
        self, main: Main, cache: TenantCache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(caches, "MOST_TENANTS", 2)
        monkeypatch.setattr(caches, "MOST_NOBODIES", 2)
        for slug in ("acme", "one", "two", "three", "acme", "one"):
            main.find(cache, slug)
        assert main.asked == ["acme", "one", "two", "three", "one"]

    def test_of_too_many_tenants_forgets_the_earliest(
        self, main: Main, cache: TenantCache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(caches, "MOST_TENANTS", 1)
        for slug in ("acme", "globex", "acme"):
            main.find(cache, slug)
        assert main.asked == ["acme", "globex", "acme"]
