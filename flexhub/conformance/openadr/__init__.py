"""What the suites of OpenADR 2.0b's endpoints work with."""
