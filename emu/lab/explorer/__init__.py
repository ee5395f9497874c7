"""Every outcome of livepatching and of text pokes on CPUs that dispatch calls meanwhile."""
