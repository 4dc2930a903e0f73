"""The scoreboard: every objective of the lab in one exact frame, and which of them have the three properties."""
