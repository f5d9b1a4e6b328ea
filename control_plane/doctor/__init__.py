"""What `voiceplane doctor` looks at, a check at a time: is it right, and what to do where it is not."""
