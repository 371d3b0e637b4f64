"""What `mailrun ses setup` makes: each resource compares itself with the account, and is then created or changed."""
