"""The tenants API's paths, below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from tenants.api import fleet, views

urlpatterns = [
    path("tenants/", views.TenantsView.as_view(), name="tenants"),
    path("tenants/<str:slug>/", views.TenantView.as_view(), name="tenant"),
    path("tenants/<str:slug>/members/", views.MembersView.as_view(), name="members"),
    path("tenants/<str:slug>/members/<uuid:user_id>/", views.MemberView.as_view(), name="member"),
    path("fleet/rollouts/", fleet.RolloutsView.as_view(), name="rollouts"),
    path("fleet/rollouts/<uuid:pk>/", fleet.RolloutView.as_view(), name="rollout"),
    path("fleet/rollouts/<uuid:pk>/pause/", fleet.PauseView.as_view(), name="rollout-pause"),
    path("fleet/rollouts/<uuid:pk>/continue/", fleet.ContinueView.as_view(), name="rollout-continue"),
    path("fleet/rollouts/<uuid:pk>/abort/", fleet.AbortView.as_view(), name="rollout-abort"),
    path("fleet/rollouts/<uuid:pk>/events/", fleet.EventsView.as_view(), name="rollout-events"),
    path("fleet/drift/", fleet.DriftView.as_view(), name="drift"),
    path("fleet/heads/", fleet.HeadsView.as_view(), name="heads"),
    path("fleet/servers/", fleet.ServersView.as_view(), name="servers"),
]
