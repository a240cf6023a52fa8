"""The tenants API's paths, below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from tenants.api import fleet, invitations, staff, tokens, views

urlpatterns = [
    path("auth/tokens/", tokens.TokensView.as_view(), name="tokens"),
    path("auth/tokens/<uuid:id>/", tokens.TokenView.as_view(), name="token"),
    path("tenants/", views.TenantsView.as_view(), name="tenants"),
    path("tenants/<str:slug>/", views.TenantView.as_view(), name="tenant"),
    path("tenants/<str:slug>/undelete/", views.UndeleteView.as_view(), name="tenant-undelete"),
    path("tenants/<str:slug>/leave/", views.LeaveView.as_view(), name="tenant-leave"),
    path("tenants/<str:slug>/invitations/", invitations.InvitationsView.as_view(), name="invitations"),
    path(
        "tenants/<str:slug>/invitations/<uuid:id>/",
        invitations.InvitationView.as_view(),
        name="invitation",
    ),
    path("invitations/<str:link>/", invitations.LinkView.as_view(), name="invitation-link"),
    path("invitations/<str:link>/accept/", invitations.AcceptView.as_view(), name="invitation-accept"),
    path("invitations/<str:link>/register/", invitations.RegisterView.as_view(), name="invitation-register"),
    path("tenants/<str:slug>/members/", views.MembersView.as_view(), name="members"),
    path("tenants/<str:slug>/members/<uuid:user_id>/", views.MemberView.as_view(), name="member"),
    path("fleet/rollouts/", fleet.RolloutsView.as_view(), name="rollouts"),
    path("fleet/rollouts/<uuid:pk>/", fleet.RolloutView.as_view(), name="rollout"),
    path("fleet/rollouts/<uuid:pk>/pause/", fleet.PauseView.as_view(), name="rollout-pause"),
    path("fleet/rollouts/<uuid:pk>/continue/", fleet.ContinueView.as_view(), name="rollout-continue"),
    path("fleet/rollouts/<uuid:pk>/abort/", fleet.AbortView.as_view(), name="rollout-abort"),
    path("fleet/rollouts/<uuid:pk>/events/", fleet.EventsView.as_view(), name="rollout-events"),
    path("fleet/drift/", fleet.DriftView.as_view(), name="drift"),
    path("fleet/tenants/<str:slug>/suspend/", staff.SuspendView.as_view(), name="tenant-suspend"),
    path("fleet/tenants/<str:slug>/resume/", staff.ResumeView.as_view(), name="tenant-resume"),
    path("fleet/heads/", fleet.HeadsView.as_view(), name="heads"),
    path("fleet/servers/", fleet.ServersView.as_view(), name="servers"),
]
