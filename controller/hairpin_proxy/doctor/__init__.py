"""Walks the way that a request goes, and says at each station whether it works and what to do if not; changes nothing.

`gather` and `probes` look (EDGE), `stations` judge what they saw (pure), `texts` has all that can be said (pure).
"""
