"""The hub as a VTN of OpenADR 2.0b."""
