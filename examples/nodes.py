# SPDX-License-Identifier: GPL-3.0-or-later
"""Node trees written down by scripts so that an artist can read them: named nodes in labelled frames."""

from typing import Any

import bpy

COLUMN, ROW = 190, 190


class Nodes:
    """Adds nodes to a tree, from left to right, in frames with a title."""

    def __init__(self, tree: bpy.types.NodeTree) -> None:
        self.tree = tree
        self.column = 0
        self.frame: Any = None

    def begin(self, title: str, color: tuple[float, float, float] = (0.16, 0.2, 0.26)) -> None:
        """Begin a frame; the nodes that follow are in it."""
        self.column += 1
        self.frame = self.tree.nodes.new("NodeFrame")
        self.frame.name = self.frame.label = title
        self.frame.use_custom_color, self.frame.color = True, color

    def add(self, kind: str, name: str, *inputs: Any, row: int = 0, new_column: bool = True, **settings: Any) -> Any:
        """A node, its first inputs joined with sockets or set to values; None leaves an input alone.

        Settings whose names begin with a capital letter are inputs (``Dispersion=0.1``, ``Extension_X="Extend"``),
        others are properties of the node.
        """
        node: Any = self.tree.nodes.new(kind)
        node.name, node.label, node.parent = name, name, self.frame
        self.column += new_column
        node.location = (self.column * COLUMN, -row * ROW)
        for key, value in settings.items():
            if not key[0].isupper():
                setattr(node, key, value)
        sockets = [socket for socket in node.inputs if socket.enabled]
        pairs = list(zip(sockets, inputs, strict=False))
        pairs += [(self.input(node, key), value) for key, value in settings.items() if key[0].isupper()]
        for socket, value in pairs:
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, socket)
            elif value is not None:
                socket.default_value = value
        return node

    @staticmethod
    def input(node: bpy.types.Node, key: str) -> Any:
        """The first usable input with a name, in which underscores stand for blanks."""
        return next(socket for socket in node.inputs if socket.name == key.replace("_", " ") and socket.enabled)

    def math(self, operation: str, *inputs: Any, name: str = "", row: int = 0, new_column: bool = True) -> Any:
        """The result of a Math node."""
        title = name or operation.replace("_", " ").title()
        node = self.add("ShaderNodeMath", title, *inputs, row=row, new_column=new_column, operation=operation)
        return node.outputs[0]
