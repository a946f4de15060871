"""Networks: the market encoder, the dueling Q-network and the CNN extractor."""
