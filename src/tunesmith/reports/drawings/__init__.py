"""Figures of a page: matplotlib SVG that takes its colours and its letters from the page."""
