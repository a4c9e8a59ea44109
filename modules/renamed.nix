# Options that have moved, so that an old configuration says where to. None has so far.
{ }
