# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of the scene's settings that an artist edits: add, duplicate, remove, move.

Curves and drivers stay with the entries that they move, wherever these go.
"""

from collections.abc import Sequence
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from .curves import first_unused, rename_paths
from .properties import INDEX_OF, settings_of

Answer = set[str]


def copy_group(source: Any, target: Any) -> None:
    """Make a property group equal to another of its type, with all that is inside."""
    for rna in source.bl_rna.properties:
        name = rna.identifier
        value = getattr(source, name, None)
        if name == "rna_type":
            continue
        if rna.type == "COLLECTION":
            held = getattr(target, name)
            held.clear()
            for item in value:
                copy_group(item, held.add())
        elif rna.type == "POINTER" and isinstance(value, bpy.types.PropertyGroup):
            copy_group(value, getattr(target, name))
        elif not rna.is_readonly and source.is_property_set(name):
            setattr(target, name, value)


def follow(scene: bpy.types.Scene, path: str, order: Sequence[int | None]) -> None:
    """Let curves and drivers follow: ``order[old]`` is the new place of an entry of a list, None where it is gone."""
    rename_paths(
        scene,
        {
            f"stylegan_reactive.{path}[{old}].": None if new is None else f"stylegan_reactive.{path}[{new}]."
            for old, new in enumerate(order)
            if new != old
        },
    )


def add_entry(settings: Any, collection: str, name: str) -> Any:
    """A new entry above the selected one, which becomes the selected one; curves stay with theirs."""
    items = getattr(settings, collection)
    count = len(items)
    at = min(getattr(settings, INDEX_OF[collection]) + 1, count)
    item = items.add()
    item.name = first_unused(name, {other.name for other in items})
    move_entry(settings, collection, count, at)
    setattr(settings, INDEX_OF[collection], at)
    return items[at]


def move_entry(settings: Any, collection: str, old: int, new: int) -> None:
    """Move an entry of a list; curves stay with theirs."""
    items = getattr(settings, collection)
    order = list(range(len(items)))
    order.insert(new, order.pop(old))
    items.move(old, new)
    follow(settings.id_data, collection, [order.index(place) for place in range(len(order))])


def remove_entry(settings: Any, collection: str, at: int) -> None:
    """Remove an entry of a list, and with it its curves."""
    items = getattr(settings, collection)
    order = [None if old == at else old - (old > at) for old in range(len(items))]
    items.remove(at)
    follow(settings.id_data, collection, order)
    index = getattr(settings, INDEX_OF[collection])
    setattr(settings, INDEX_OF[collection], max(0, min(index, len(items) - 1)))


def duplicate_entry(settings: Any, collection: str, at: int) -> Any:
    """A copy of an entry above it, which becomes the selected one. Its curves are not copied."""
    setattr(settings, INDEX_OF[collection], at)
    copy = add_entry(settings, collection, getattr(settings, collection)[at].name)
    name = copy.name
    copy_group(getattr(settings, collection)[at], copy)
    copy.name = name
    return copy


class Editable:
    """What changes the scene's settings."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Called by Blender."""
        if not context.scene.is_editable:
            cls.poll_message_set("This scene is linked from another file. Make it local to edit it here")  # type: ignore[attr-defined]
            return False
        return True


class SGR_OT_list_edit(Editable, bpy.types.Operator):
    """Add, duplicate, remove or move an entry of the list"""

    bl_idname = "stylegan_reactive.list_edit"
    bl_label = "Edit List"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    collection: StringProperty(options={"HIDDEN"})
    action: EnumProperty(
        name="Action",
        items=(
            ("ADD", "Add", "Add an entry"),
            ("DUPLICATE", "Duplicate", "Add a copy of the selected entry. Its keys are not copied"),
            ("REMOVE", "Remove", "Remove the selected entry, and its keys"),
            ("MOVE", "Move", "Move the selected entry; its keys go with it"),
        ),
    )
    step: IntProperty(name="Step", default=1)

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        """What this button does."""
        if properties.action == "MOVE":
            return f"Move the selected entry {'up' if properties.step < 0 else 'down'}. Its keys go with it"
        action = cls.bl_rna.properties["action"].enum_items[properties.action]
        return str(action.description)

    def execute(self, context: bpy.types.Context) -> Answer:
        """Called by Blender."""
        settings = settings_of(context.scene)
        items, index = getattr(settings, self.collection), getattr(settings, INDEX_OF[self.collection])
        if self.action == "ADD":
            add_entry(settings, self.collection, "Layer")
        elif not 0 <= index < len(items):
            self.report({"WARNING"}, "Select an entry of the list first")
            return {"CANCELLED"}
        elif self.action == "REMOVE":
            remove_entry(settings, self.collection, index)
        elif self.action == "DUPLICATE":
            duplicate_entry(settings, self.collection, index)
        elif 0 <= index + self.step < len(items):
            move_entry(settings, self.collection, index, index + self.step)
            setattr(settings, INDEX_OF[self.collection], index + self.step)
        return {"FINISHED"}


CLASSES = (SGR_OT_list_edit,)
