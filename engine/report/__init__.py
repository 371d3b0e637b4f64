"""What a person looks at: the accounts and the rendered samples."""
