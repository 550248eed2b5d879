"""The regulator's file: a data protection impact assessment and a record of processing, from what a run really was."""
