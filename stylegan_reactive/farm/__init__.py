# SPDX-License-Identifier: GPL-3.0-or-later
"""Films on many machines: what a job bundle holds, what a worker must have, and the job for each kind of farm.

Nothing here imports Blender or torch. The scheduler is the farm's: Open Job Description (AWS Deadline Cloud and others
that read it) or Flamenco. What needs Blender is in the Blender room: `farm_packing`, `farm_worker` and their like.
"""
