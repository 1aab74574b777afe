# Counts lines, words and the longest line of standard input, and prints one JSON object: the output of the task.
{ words += NF; if (length($0) > longest) longest = length($0) }
END { printf "{\"lines\": %d, \"words\": %d, \"longest_line\": %d}\n", NR, words, longest }
