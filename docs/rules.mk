# docs: the tables of README.md and the man pages come from the code's own tables (make docs); lint checks that they are fresh.
docs: $(HOLDFAST) ## write the option, exit-code and phase tables into README.md and the man pages
	@python3 docs/tables.py '$(HOLDFAST)'
.PHONY: docs
