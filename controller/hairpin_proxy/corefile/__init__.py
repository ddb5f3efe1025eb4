"""The Corefile room: text in, text out. Pure.

lexer     characters -> tokens
blocks    tokens -> server blocks and their directives
scope     a server block with its imports followed
homes     which server blocks our rules belong to
rules     one rule <-> its line; whose a line is
render    text and hosts -> the text as it should be, for a Corefile and for a file that one imports
size      how many rules fit
rewrites  what rules of others do to our hosts
checks    where our rules never run, or are read late
refusals  what CoreDNS surely refuses, though it can be read
imports   which files a home imports, where rules of ours could stand
"""

from hairpin_proxy.corefile.lexer import CorefileError
from hairpin_proxy.corefile.render import Reading, Writing, read, read_file, render, render_file

__all__ = ["CorefileError", "Reading", "Writing", "read", "read_file", "render", "render_file"]
