"""What is needed to run Strata: the local stack, the demo model, migrations, images and examples."""
