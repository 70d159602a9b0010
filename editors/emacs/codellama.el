;;; codellama.el --- Code Llama by eglot or lsp-mode  -*- lexical-binding: t; -*-

;; Put this into your init file, after (require 'eglot) or (require 'lsp-mode).

;;; Code:

(require 'seq)
(require 'subr-x)

(defvar codellama-command '("codellama-ls")
  "The command that starts the language server: a name on PATH, or a whole path.")

(defvar codellama-settings '(:completionMenu t :model "starter")
  "Settings of the server, as a property list.
Emacs shows no inline completion: the suggestion comes with `completion-at-point'.")

(defvar codellama-modes '(python-mode js-mode c-mode rust-mode go-mode)
  "Where the server is used.")

(defvar codellama-folder (locate-user-emacs-file "codellama/")
  "Where the server runs.")

(defun codellama--whole (folder)
  "Whether FOLDER is the same one wherever one is."
  (and (stringp folder) (file-name-absolute-p folder) (not (string-prefix-p "~" folder))))

(defun codellama--program ()
  "The server's program by its whole path, or nil.
One that only the folder has that is open is not used."
  (let ((exec-path (seq-filter #'codellama--whole exec-path))
        (program (car codellama-command)))
    (when (or (codellama--whole program) (not (file-name-directory program)))
      (executable-find program))))

(defconst codellama--clone
  (directory-file-name (expand-file-name "../.." (file-name-directory (or load-file-name buffer-file-name ""))))
  "The repository, in which this file lies.")

(defconst codellama--script
  "cd \"$1\" && PATH=$2 && unset $3 PYTHONPATH && export PATH PYTHONSAFEPATH=1 && shift 3 && exec \"$@\""
  "How a shell starts the server: in its own folder, and without what makes Python load code.
Otherwise a file in the project could be run only because it lies there.")

(defun codellama--start ()
  "The command that starts the server."
  (if (or (eq system-type 'windows-nt) (file-remote-p default-directory))
      codellama-command
    (let ((program (or (codellama--program)
                       (user-error "%s is not on PATH; install it with: pipx install '%s[engine]'"
                                   (car codellama-command) codellama--clone)))
          (variables (seq-filter (lambda (name) (string-match-p "\\`PYTHON[A-Z0-9_]*\\'" name))
                                 (mapcar (lambda (each) (car (split-string each "="))) process-environment)))
          (harmless '("PYTHONUTF8" "PYTHONIOENCODING" "PYTHONUSERBASE" "PYTHONDONTWRITEBYTECODE"))
          (path (seq-filter #'codellama--whole (split-string (or (getenv "PATH") "") path-separator))))
      (make-directory codellama-folder t)
      (append (list "/bin/sh" "-c" codellama--script "sh"
                    (expand-file-name codellama-folder)
                    (string-join path path-separator)
                    (string-join (seq-difference variables harmless) " ")
                    program)
              (cdr codellama-command)))))

(defun codellama--present ()
  "Whether there is a server that can be started."
  (or (file-remote-p default-directory) (codellama--program)))

(defun codellama-eglot-contact (&rest _)
  "How eglot starts the server."
  (append (codellama--start) (list :initializationOptions codellama-settings)))

(with-eval-after-load 'eglot
  ;; eglot runs one server in a buffer: this one takes the place of the mode's own.
  (add-to-list 'eglot-server-programs (cons codellama-modes #'codellama-eglot-contact)))

(with-eval-after-load 'lsp-mode
  ;; lsp-mode runs it beside the other servers.
  (lsp-register-client
   (make-lsp-client
    :server-id 'codellama
    :new-connection (lsp-stdio-connection #'codellama--start #'codellama--present)
    :major-modes codellama-modes
    :add-on? t
    :notification-handlers (let ((handlers (make-hash-table :test #'equal)))
                             (puthash "codellama/status" #'ignore handlers)
                             handlers)
    :initialization-options (lambda () codellama-settings)))
  (dolist (mode codellama-modes)
    (unless (assq mode lsp-language-id-configuration)
      (add-to-list 'lsp-language-id-configuration
                   (cons mode (string-remove-suffix "-mode" (symbol-name mode)))))))

(provide 'codellama)
;;; codellama.el ends here
