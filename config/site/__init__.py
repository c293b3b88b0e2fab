"""The frame of every page: templates, style sheet, theme, languages, headers, error pages."""
