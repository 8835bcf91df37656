"""Networks as diagrams: `outline` finds blocks and skips in the graph, `layout` places them, `text` and `svg` draw.

No network is named in it: everything is read from the layers of a `NetworkSummary`, so new networks need no change.
"""
