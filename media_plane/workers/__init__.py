"""Several media nodes on one machine: a supervisor without audio, and a node per core as its child.

`cores` says which cores there are, `plan` what each worker is told, `child` holds one running worker,
`restarts` decides when a dead one comes back, `supervisor` does it all, and `worker` is what a child runs.
"""
