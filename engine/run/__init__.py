"""The life of a run, put together from the rooms below: plan, preview, launch, work, finish, audit."""
