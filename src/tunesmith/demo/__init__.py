"""The demo's data: 540 support tickets written for tunesmith (Apache-2.0)."""
