"""What suites of OpenADR 2.0b's endpoints are made of."""
