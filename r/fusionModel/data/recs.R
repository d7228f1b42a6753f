# Opened when it is used: see ?recs.
delayedAssign("recs", fusionpy::recs)
