"""What to send: the campaign's specification, its templates and the messages made of them."""
