"""Trading: account, rewards, the vectorised simulator and the Gymnasium environment."""
