"""Full-text search over documents: what is found, how well it fits, and where the words stand.

The words of a document are kept by a trigger in the database (migration 0003), which splits and stems them in the same
way as the query here.
"""

from __future__ import annotations

import html
import secrets
from typing import Any

from django.contrib.postgres.search import SearchHeadline, SearchQuery, SearchRank
from django.db.models import F, FloatField
from django.db.models.functions import Cast, Left

from tenant_data.models.document import DocumentQuerySet

CONFIG = "english"
"""How PostgreSQL splits and stems words. Words of other languages are found too, without their endings' rules."""
SEARCHED_LENGTH = 100_000
"""Characters of a body that are searched."""

# Not to be guessed, or a text could hold them and have its own words marked.
_START, _STOP = secrets.token_hex(8), secrets.token_hex(8)


def found(documents: DocumentQuerySet, text: str) -> DocumentQuerySet:
    """Those that match ``text`` as web search engines read it: `word`, `"a phrase"`, `or`, `-without`.

    Each has its ``rank``, the higher the better, and ``title_headline`` and ``body_headline`` for ``marked()``.
    PostgreSQL makes the headlines after it has sorted and cut, so for the rows of a page only.
    """
    query = SearchQuery(text, config=CONFIG, search_type="websearch")
    return documents.filter(search=query).annotate(
        # As double precision: the single of ts_rank would not equal itself after a round trip in a page's cursor.
        rank=Cast(SearchRank(F("search"), query), FloatField()),
        title_headline=_headline(F("title"), query, highlight_all=True),
        body_headline=_headline(Left("body", SEARCHED_LENGTH), query, max_fragments=2, fragment_delimiter=" … "),
    )


def _headline(text: Any, query: SearchQuery, **options: Any) -> SearchHeadline:
    return SearchHeadline(text, query, config=CONFIG, start_sel=_START, stop_sel=_STOP, **options)


def marked(headline: str) -> str:
    """A headline as HTML: found words in `<mark>`, and whatever else it holds is text."""
    return html.escape(headline).replace(_START, "<mark>").replace(_STOP, "</mark>")
