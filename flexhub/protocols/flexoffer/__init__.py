"""The flex-offer as JSON: FlexOffer specification V1, the GOFLEX form, and the dialects met in the wild."""
