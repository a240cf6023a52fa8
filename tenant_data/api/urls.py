"""The tenant data API's paths, below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from tenant_data.api import views

urlpatterns = [
    path("tenants/<str:slug>/files/", views.FilesView.as_view(), name="files"),
    path("tenants/<str:slug>/files/<uuid:id>/", views.FileView.as_view(), name="file"),
    path("tenants/<str:slug>/files/<uuid:id>/content/", views.FileContentView.as_view(), name="file-content"),
    path("tenants/<str:slug>/documents/", views.DocumentsView.as_view(), name="documents"),
    path("tenants/<str:slug>/documents/<uuid:id>/", views.DocumentView.as_view(), name="document"),
]
