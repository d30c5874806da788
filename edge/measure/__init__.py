"""The measurement rules: samples in, sealed records out; arithmetic only (HJ 212-2017 Annex D).

rules      what is known of a factor: units, mass, how often it is sampled
periods    labels that are sealed once, means
marks      which mark a period bears, which values enter its mean
water, gas the formulas of Annex D.1 and D.2, one function each
standard_state, converted   a stack's samples standard and dry; converted (折算) values
waste_water, flue_gas   the two sets of statistics, built from the formulas
sound_levels, noise     noise: levels of minutes, hours, days; their formulas
manual     marks set by hand, laid over the samples
derived    points that are computed from others, and constants
switch     a state between two thresholds; stops: when the source stood still
totaliser  a counter's readings as volumes, whatever happens to it
late       hours and days that wait for the results of batch analyzers
engine     keeps the open minute, hour and day of one outlet and seals them
cases, explain   a period made again, and told: inputs, steps, differences
wire       a record or a sample as the fields of edition 2017
"""
