# What a user of the original has, as its README teaches it: every function once, nothing of it changed for us.
library(fusionModel)
library(data.table)
library(ggplot2)

# A donor survey, and a recipient with the variables both have
donor <- recs[seq(1, nrow(recs), by = 2), ]
recipient <- subset(recs[seq(2, nrow(recs), by = 2), ], select = c(weight, income:heat_type, rep_1:rep_20))
fusion.vars <- list("insulation", c("heating_share", "cooling_share", "other_share"), "electricity", "natural_gas")
predictor.vars <- names(recipient)[2:14]

# Train, with a grid of hyperparameters, and fuse
fsn.path <- train(data = donor, y = fusion.vars, x = predictor.vars, fsn = "models/recs.fsn", weight = "weight",
                  nfolds = 0.8, nquantiles = 3, nclusters = 300, krange = c(10, 200),
                  hyper = list(boosting = c("gbdt", "goss"), num_leaves = c(10, 30), feature_fraction = 0.9,
                               num_iterations = 50))
sim <- fuse(data = recipient, fsn = fsn.path, M = 5)
head(sim[M == 1])

# What predicts what
imp <- importance(fsn.path)
imp.plot <- ggplot(imp$summary, aes(x = x, y = gain)) + geom_bar(stat = "identity") + facet_grid(~y) + coord_flip()
ggsave("importance.png", imp.plot, width = 7, height = 5)
gains <- imp$detailed[imp$detailed$y == "electricity", ]

# Fused back onto the donor, implicates are held against what was observed
back <- fuse(data = donor, fsn = fsn.path, M = 5)
valid <- validate(observed = donor, implicates = subset(back, select = -insulation), weight = "weight",
                  subset_vars = c("income", "age", "race", "education"))
ggsave("valid.png", valid$plots$est + theme_bw(), width = 6, height = 5)
ggsave("electricity.png", valid$plots$electricity$vad, width = 6, height = 5)
plots <- plot_valid(valid, y = "electricity", path = "plots", width = 5, height = 4, dpi = 72)

# Estimates, of what was fused and of what is made from it
means <- analyze(x = list(mean = c("electricity", "insulation"), median = "natural_gas"), implicates = sim,
                 static = recipient, weight = "weight", by = "urban_rural")
my_fun <- function(d) {
  mutual <- weighted.mean(d$electricity, d$W)
  d[, .(per_person = electricity / hh_size, above = electricity > mutual)]
}
made <- analyze(x = list(mean = c("per_person", "above"), sum = "above"), implicates = sim, static = recipient,
                weight = "weight", rep_weights = paste0("rep_", 1:20), by = c("race", "urban_rural"), fun = my_fun)

# As fusionData goes about it: order and predictors first, then implicates on disk, joined by key
prep <- prepXY(data = donor, y = fusion.vars, x = predictor.vars, weight = "weight", cor_thresh = 0.025,
               lasso_thresh = 0.99, xmax = 20, xforce = "income")
recipient <- setDT(copy(recipient))[, `:=`(acs_year = 2015L, acs_hid = .I)]
setkey(recipient, acs_year, acs_hid)
model <- train(donor, y = prep$y, x = prep$x, fsn = "models/prepared.fsn", weight = "weight", nfolds = 0.8,
               hyper = list(num_iterations = 30), cores = 2)
fsd <- fuse(recipient, fsn = model, fsd = "fused/recs.fsd", M = 3, retain = key(recipient), cores = 2)
fused <- read_fsd(fsd, columns = c("M", "acs_year", "acs_hid", "electricity", "natural_gas"), M = 3)
asked <- fused[.(1L, 2015L, c(5L, 100L))]
joined <- merge(recipient[, .(acs_year, acs_hid, income)], fused, by = key(recipient))

# And the small ones
holes <- recs[1:300, c("income", "age", "renter", "electricity")]
holes$age[1:20] <- NA
complete <- impute(holes)
donor$spent <- with(donor, monotonic(x = natural_gas, y = natural_gas * 0.01 + rev(age) / 50, w = weight))
