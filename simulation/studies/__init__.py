"""Studies, one module for each study script: questions answered from many rounds or runs."""
