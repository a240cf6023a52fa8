"""The tenant data API's paths, below ``/api/v1/``."""

from __future__ import annotations

from django.urls import path

from tenant_data.api import documents, files

urlpatterns = [
    path("tenants/<str:slug>/files/", files.FilesView.as_view(), name="files"),
    path("tenants/<str:slug>/files/<uuid:id>/", files.FileView.as_view(), name="file"),
    path("tenants/<str:slug>/files/<uuid:id>/content/", files.FileContentView.as_view(), name="file-content"),
    path("tenants/<str:slug>/documents/", documents.DocumentsView.as_view(), name="documents"),
    path("tenants/<str:slug>/documents/<uuid:id>/", documents.DocumentView.as_view(), name="document"),
]
