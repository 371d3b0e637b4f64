"""What a person looks at: the accounts."""
