"""Languages of which little more is known than how a comment looks. One a line:

id [other ids] | name | what begins a line that is one | what a block of it is between | suffixes

Ids are those of the protocol, and those of Neovim where it has others. Where several marks begin a comment, as in the
dialects of assembly, the first is the usual one. A language without any has "-": nothing in it can be documented.
"""

from __future__ import annotations

COMMENTED = """
    jinja jinja2 jinja-html jinja-yaml jinja-sql nunjucks twig | Jinja | - | {# #} | .jinja .jinja2 .j2 .njk .twig
    django-html django-txt htmldjango | Django template | - | {# #} | -
    handlebars mustache | Handlebars | - | {{!-- --}} | .hbs .mustache
    liquid | Liquid | - | {% comment %} {% endcomment %} | .liquid
    erb ejs eruby | ERB | - | <%# %> | .erb .ejs
    blade | Blade | - | {{-- --}} | .blade
    smarty | Smarty | - | {* *} | .tpl
    haml | Haml | -# | - | .haml
    jade pug | Pug | //- // | - | .pug
    asm assembly nasm masm gas x86asm asm-intel-x86-generic | assembly | ; # // @ | /* */ | .asm .s .nasm
    arm arm64 | ARM assembly | @ ; // # | /* */ | -
    mips riscv | assembly | # | - | -
    llvm | LLVM IR | ; | - | .ll
    wat wasm | WebAssembly | ;; | (; ;) | .wat
    xml svg xsl | XML | - | <!-- --> | .xml .svg .xsl .xsd
    vue svelte astro | component | - | <!-- --> | .vue .svelte .astro
    less | Less | // | /* */ | .less
    sass stylus | Sass | // | /* */ | .sass .styl
    jsonc json5 | JSON with comments | // | /* */ | .jsonc .json5
    json jsonl | JSON | - | - | .json .jsonl
    csv tsv | CSV | - | - | .csv .tsv
    latex tex bibtex plaintex bib | LaTeX | % | - | .tex .sty .bib
    restructuredtext rst | reStructuredText | .. | - | .rst
    clojure scheme racket lisp commonlisp emacs-lisp elisp | Lisp | ; | - | .clj .cljs .scm .rkt .lisp .el
    ocaml | OCaml | - | (* *) | .ml .mli
    sml | Standard ML | - | (* *) | .sml
    pascal objectpascal delphi | Pascal | // | { } | .pas .dpr
    ada | Ada | -- | - | .adb .ads
    vhdl | VHDL | -- | - | .vhd .vhdl
    verilog systemverilog | Verilog | // | /* */ | .v .sv
    elm purescript | Elm | -- | {- -} | .elm .purs
    cobol | COBOL | *> * | - | .cob .cbl
    vb | Visual Basic | ' | - | .vb .bas
    bat batch cmd dosbatch | batch file | REM :: rem | - | .bat .cmd
    vim viml | Vim script | " | - | .vim
    cmake | CMake | # | - | .cmake
    terraform hcl | Terraform | # // | /* */ | .tf .hcl
    nix | Nix | # | /* */ | .nix
    graphql | GraphQL | # | - | .graphql .gql
    proto proto3 protobuf | Protocol Buffers | // | /* */ | .proto
    solidity | Solidity | // | /* */ | .sol
    glsl hlsl wgsl shaderlab | shader | // | /* */ | .glsl .hlsl .wgsl .vert .frag
    coffeescript | CoffeeScript | # | ### ### | .coffee
    crystal | Crystal | # | - | .cr
    nim | Nim | # | - | .nim
    tcl | Tcl | # | - | .tcl
    awk | AWK | # | - | .awk
    fish | fish | # | - | .fish
    starlark bazel | Starlark | # | - | .bzl .star
    properties dotenv jproperties | properties | # ! | - | .properties
    nginx | nginx | # | - | -
    gitconfig gitignore editorconfig | configuration | # ; | - | -
    prolog | Prolog | % | /* */ | .pro
    gleam | Gleam | // | - | .gleam
"""
