"""Networks as diagrams: `outline` finds blocks and skips in the graph, `layout` places them, `text` and `svg` draw.

None of it knows any network: all is found in the layers of a `networks.anatomy.Anatomy`, so that new ones need nothing.
"""
