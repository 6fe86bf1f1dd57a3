"""The parts of the door that are about seeing and driving sessions from outside."""
