"""The tenant data API's paths, below ``/api/v1/``."""

from __future__ import annotations

from django.urls import include, path

from tenant_data.api import document_bulk, documents, files, versions

document_paths = [
    path("documents/", documents.DocumentsView.as_view(), name="documents"),
    path("documents/bulk/", document_bulk.BulkWriteView.as_view(), name="documents-bulk"),
    path("documents/bulk-delete/", document_bulk.BulkDeleteView.as_view(), name="documents-bulk-delete"),
    path("documents/<uuid:id>/", documents.DocumentView.as_view(), name="document"),
    path("documents/<uuid:id>/restore/", documents.RestoreView.as_view(), name="document-restore"),
    path("documents/<uuid:id>/versions/", versions.VersionsView.as_view(), name="versions"),
    path("documents/<uuid:id>/versions/<int:number>/", versions.VersionView.as_view(), name="version"),
    path(
        "documents/<uuid:id>/versions/<int:number>/comparison/",
        versions.VersionComparisonView.as_view(),
        name="version-comparison",
    ),
    path(
        "documents/<uuid:id>/versions/<int:number>/restore/",
        versions.VersionRestoreView.as_view(),
        name="version-restore",
    ),
]
urlpatterns = [
    path("tenants/<str:slug>/files/", files.FilesView.as_view(), name="files"),
    path("tenants/<str:slug>/files/<uuid:id>/", files.FileView.as_view(), name="file"),
    path("tenants/<str:slug>/files/<uuid:id>/content/", files.FileContentView.as_view(), name="file-content"),
    path("tenants/<str:slug>/", include(document_paths)),
]
