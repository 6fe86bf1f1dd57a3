"""Places where codes are fetched from: IMAP mailboxes, and URLs that are asked."""
