"""The Corefile room: text in, text out. Pure.

lexer    characters -> tokens
blocks   tokens -> server blocks and their directives
homes    which server blocks our rules belong to
rules    one rule <-> its line; whose a line is
render   text and hosts -> the text as it should be
size     how many rules a ConfigMap holds
"""

from hairpin_proxy.corefile.lexer import CorefileError
from hairpin_proxy.corefile.render import reloads, remove, render, strangers
from hairpin_proxy.corefile.size import TooLargeError, render_within

__all__ = ["CorefileError", "TooLargeError", "reloads", "remove", "render", "render_within", "strangers"]
