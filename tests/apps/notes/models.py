from __future__ import annotations

from typing import ClassVar

from django.db import models


class Note(models.Model):
    text = models.CharField(max_length=100)

    objects: ClassVar[models.Manager[Note]] = models.Manager()

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.text
