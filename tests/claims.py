"""What toolweft promises, sentence by sentence, and the tests (or benchmarks) that hold it to each.

A name is `file::test` below `tests/`, or a file of `benchmarks/`. `test_claims.py` checks that every one exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CLAIMS: Mapping[str, Sequence[str]] = {
    # What hosts see
    "A client of the newest protocol and one of the older find, run code over two servers and read what was saved.": (
        "real_servers/test_serve.py::test_a_host_finds_runs_over_two_servers_and_reads_the_saved_function",
        "end_to_end/test_http_serving.py::test_both_protocol_eras_find_and_run_over_http",
    ),
    "The Inspector's command line lists, runs and reads.": (
        "real_servers/test_serve.py::test_the_inspector_lists_runs_and_reads",
    ),
    "The prompt shrinks to two tools of at most 600 tokens; output schemas add at most 300.": (
        "server/tools/test_surface.py::test_the_surface_stays_within_600_tokens",
        "server/tools/test_surface.py::test_the_output_schemas_stay_within_300_tokens",
    ),
    "No hostile program of ours gets through, on any tier of the machine, as root and as an ordinary user.": (
        "escape/test_escape.py::test_no_program_gets_through",
        "escape/test_escape.py::test_the_host_and_the_next_run_are_unharmed",
        "escape/test_escape.py::test_programs_get_through_where_nothing_confines_them",
    ),
    "Runs and kills of the server leave no process, mount, descriptor, file or memory behind.": (
        "server/sandbox/test_soak.py::test_runs_of_every_kind_leave_no_memory_process_mount_descriptor_or_file",
    ),
    "Programs give the same value and output as in a plain interpreter, on every tier with the whole of Python.": (
        "server/sandbox/test_sandbox_cases.py::test_program_gives_the_same_as_in_a_plain_interpreter",
    ),
    "Files and packages reach programs whole or not at all; no link is followed and no code runs on the way.": (
        "end_to_end/test_files.py::test_files_that_a_program_left_are_read_and_handed_to_the_next_one",
        "end_to_end/test_files.py::test_nothing_runs_when_a_file_is_not_there",
        "end_to_end/test_files.py::test_the_file_of_another_owner_does_not_exist",
        "server/sandbox/test_files_in.py::test_links_that_an_earlier_run_left_are_not_followed",
        "server/sandbox/test_packages.py::test_a_server_killed_while_installing_leaves_no_half_made_environment",
        "server/sandbox/test_packages.py::test_a_package_without_a_wheel_is_not_built",
    ),
    "Definitions are the same bytes in every connection of an era.": (
        "real_servers/test_serve.py::test_the_definitions_are_the_same_bytes_in_every_connection_of_an_era",
        "server/tools/test_surface.py::test_what_hosts_are_sent_is_what_is_written_here",
    ),
    "The schemas written by hand agree with what is answered.": (
        "server/tools/test_surface.py::test_the_schemas_written_by_hand_say_what_the_models_say",
        "server/tools/test_surface.py::test_an_answer_validates_against_the_schema_that_the_host_has",
    ),
    "The handshake starts nothing and costs about what a server with one tool costs.": (
        "test_layout.py::test_the_handshake_path_imports_no_database_and_no_index",
        "benchmarks/handshake.py",
    ),
    "What does not exist is answered with the code that the specification has for it.": (
        "end_to_end/test_protocol.py::test_what_does_not_exist_is_a_wrong_parameter_with_a_sentence",
    ),
    "Every line a host sends over stdio is answered; stdout carries the protocol only.": (
        "end_to_end/test_protocol.py::test_odd_lines_over_stdio_are_answered_and_the_next_request_too",
        "end_to_end/test_protocol.py::test_stdout_carries_nothing_but_the_protocol",
    ),
    "Sixty requests at once do not freeze the server.": (
        "end_to_end/test_protocol.py::test_sixty_requests_at_once_are_all_answered",
    ),
    "Long work shows progress, and ends when the host takes its request back.": (
        "end_to_end/test_protocol.py::test_a_long_program_shows_signs_of_life",
        "end_to_end/test_protocol.py::test_progress_of_an_upstream_reaches_the_host",
        "end_to_end/test_protocol.py::test_a_request_taken_back_ends_its_program_and_its_call",
    ),
    "When the host goes away, the server and everything it started end.": (
        "end_to_end/test_protocol.py::test_the_end_of_the_host_ends_the_server_and_all_it_started",
    ),
    "Over HTTP strangers, web pages and rebound names are kept out; other addresses need a token.": (
        "end_to_end/test_http_serving.py::test_a_web_page_and_a_rebound_name_are_kept_out",
        "end_to_end/test_http_serving.py::test_a_token_is_asked_for_and_accepted",
        "server/test_http.py::test_an_address_that_others_reach_needs_a_token",
    ),
    # Finding
    "A tool is found by what it does and by its name, and shown as Python that works.": (
        "end_to_end/test_main_job.py::test_a_tool_is_found_by_what_it_does_and_shown_as_python",
        "end_to_end/test_main_job.py::test_a_tools_own_name_always_wins",
    ),
    "An empty result says so and names the nearest.": (
        "end_to_end/test_main_job.py::test_nothing_found_says_so_and_names_the_nearest",
    ),
    "Replies stay within about 400 tokens and never drop the only match.": ("benchmarks/tokens.py",),
    "Every index keeps one contract; updates equal a rebuild.": (
        "server/index/test_contract.py::test_updates_in_any_order_rank_and_score_as_a_rebuild",
        "server/index/test_contract.py::test_a_loaded_index_answers_as_the_saved_one",
        "server/index/woven/test_index.py::test_an_answer_does_not_depend_on_the_order_in_which_tools_came",
        "server/index/woven/test_codes.py::test_what_came_and_went_is_as_if_built_anew",
    ),
    "A new tool is found by its words at once and by its meaning soon; a restart encodes nothing again.": (
        "server/index/woven/test_index.py::"
        "test_a_new_tool_is_found_by_its_words_at_once_and_by_its_meaning_when_its_vector_is_there",
        "server/index/woven/test_index.py::test_a_restart_encodes_nothing_again",
    ),
    "The weights come with the package and fit together; nothing is fetched when they are used.": (
        "server/index/woven/test_shipped.py::test_the_shipped_heads_are_those_of_the_shipped_encoder",
        "server/index/woven/test_shipped.py::"
        "test_a_server_weaves_and_answers_with_no_network_no_torch_and_nothing_fetched",
    ),
    "Whatever is wrong with the weights, words find tools and each answer says why.": (
        "server/index/woven/test_served.py::"
        "test_without_weights_that_can_be_used_words_find_tools_and_the_answer_says_why",
        "server/index/woven/test_heads.py::test_heads_made_for_another_encoder_are_refused_and_both_are_named",
        "server/index/woven/test_index.py::test_an_encoder_that_breaks_leaves_the_words",
    ),
    "No description, name or flood of tools takes a first place, and no calls buy one.": (
        "server/test_attacks.py::test_a_tool_that_is_made_to_win_takes_no_first_place",
        "server/test_attacks.py::test_a_name_that_imitates_another_does_not_take_its_place",
        "server/test_attacks.py::test_copies_of_popular_tools_on_another_server_do_not_stand_above_the_originals",
        "server/test_attacks.py::test_thousands_of_tools_of_one_server_do_not_push_out_the_right_ones",
        "server/test_attacks.py::test_one_poisoned_call_in_a_hundred_lifts_the_attacker_by_less_than_a_rank",
        "server/test_attacks.py::test_repeating_a_poisoned_call_gains_next_to_nothing",
        "server/test_attacks.py::test_calls_of_the_attackers_tool_leave_the_vectors_of_all_others_alone",
    ),
    "Use makes similar requests better, is switched off when it does not, and can be turned off and taken back.": (
        "server/test_using.py::test_a_tool_that_served_requests_stands_higher_for_a_similar_one_and_for_no_other",
        "server/test_using.py::"
        "test_answers_are_mixed_while_use_is_on_trial_and_it_is_switched_off_for_good_when_it_loses",
        "server/test_using.py::test_where_learning_is_off_nothing_is_kept_and_nothing_is_used",
        "server/test_using.py::test_what_is_forgotten_counts_no_more",
        "server/test_index_command.py::test_rollback_changes_nothing_until_one_says_yes",
        "benchmarks/usage.py",
    ),
    "The text of a request is in no file unless it may be kept, and in none when it was erased.": (
        "server/test_using.py::test_the_text_of_a_request_is_in_no_file_unless_it_may_be_kept",
        "server/store/test_usage.py::test_the_text_of_a_request_or_program_is_nowhere_in_the_store",
        "server/store/test_erasing.py::test_the_text_of_a_request_that_was_erased_is_in_no_file",
    ),
    "The index tells its state, explains an answer part by part and is built anew on request.": (
        "server/test_index_command.py::test_status_and_rebuild_tell_what_the_woven_index_has",
        "server/test_index_command.py::test_explain_prints_every_part_of_the_woven_index",
    ),
    "None of the defects of the code that was released with ToolWeaver can come back unnoticed.": (
        "server/training/test_defects.py::test_all_seventeen_are_there_each_under_a_name_of_its_own",
        "server/training/test_defects.py::test_a_defect_can_be_put_into_the_code_as_it_is_and_its_tests_exist",
        "server/training/test_defects.py::test_every_test_named_for_a_defect_fails_when_it_is_put_in",
    ),
    "49,001 tools are searched within milliseconds, indexed within a minute and held in bounded memory.": (
        "benchmarks/search.py",
        "benchmarks/memory.py",
    ),
    "Ranking is at least as good as plain BM25.": ("benchmarks/retrieval.py",),
    "Requests and the calls that followed are linked.": (
        "server/store/test_executions.py::test_a_call_is_linked_to_the_latest_request_that_showed_the_tool",
    ),
    # The catalogue
    "A catalogue is ordered, deterministic and looked up at once; a delta leads from one to the next.": (
        "catalog/test_catalog.py::test_the_order_is_that_of_ids_whatever_order_the_tools_came_in",
        "catalog/test_catalog.py::test_asking_by_id_or_name_looks_at_no_other_tool",
        "catalog/test_catalog.py::test_a_delta_leads_from_one_catalogue_to_the_other",
    ),
    "Ids are unique Python names, and stay with their tool.": (
        "catalog/test_names.py::test_every_pair_gets_one_unique_id_of_two_identifiers",
        "catalog/test_names.py::test_an_id_once_given_is_kept_whoever_comes_later",
    ),
    "MCP manifests of any revision, OpenAPI documents, Python functions and ToolBench files become tools.": (
        "catalog/ingest/test_ingest_mcp.py::test_a_tool_of_the_newest_revision_is_read_whole",
        "catalog/ingest/test_ingest_mcp.py::test_a_tool_of_the_oldest_revision_needs_no_more_than_a_name_and_a_schema",
        "catalog/ingest/test_openapi.py::test_every_operation_but_the_deprecated_becomes_a_tool",
        "catalog/ingest/test_ingest_python.py::test_a_function_is_read_whole",
        "catalog/ingest/test_toolbench.py::test_a_line_becomes_a_tool",
    ),
    "Whatever a tool says of itself, its stub is Python and cannot break out.": (
        "catalog/test_signature.py::test_whatever_a_tool_says_its_stub_parses_and_its_names_are_distinct",
        "end_to_end/test_bad_input.py::test_every_stub_of_a_hostile_server_is_python_and_bounded",
    ),
    "Schemas become signatures and signatures schemas, without loss of names, types and defaults.": (
        "catalog/test_reverse.py::test_there_and_back_keeps_names_requiredness_defaults_and_types",
    ),
    # Upstreams
    "Servers start when they are needed, share one connection and stop when idle.": (
        "server/upstream/test_mcp.py::test_nothing_starts_before_the_first_call",
        "server/upstream/test_mcp.py::test_concurrent_first_calls_share_one_process",
        "server/upstream/test_mcp.py::test_an_idle_server_is_stopped_and_comes_back",
    ),
    "A broken server costs itself alone.": (
        "server/upstream/test_mcp.py::test_one_invalid_tool_costs_itself_alone",
        "server/upstream/test_mcp.py::test_a_server_that_keeps_dying_is_left_alone_for_a_while",
        "server/upstream/test_gateway.py::test_a_defect_in_one_upstream_costs_itself_alone",
    ),
    "`toolweft doctor` names the broken server, the cause and the fix.": (
        "real_servers/test_serve.py::test_doctor_names_the_broken_server_the_cause_and_the_remedy",
    ),
    "OpenAPI services are called as they describe themselves, and credentials go nowhere else.": (
        "server/upstream/openapi/test_http.py::test_query_arguments_are_written_in_their_style",
        "server/upstream/openapi/test_http.py::test_credentials_go_where_their_scheme_says_and_never_come_back",
    ),
    "Every child dies with us, even on kill -9.": (
        "server/upstream/test_leash.py::test_kill_9_of_the_process_that_uses_an_upstream_leaves_nobody",
        "server/sandbox/test_child_death.py::test_child_dies_with_a_killed_server",
    ),
    # Running
    "A program calls tools as functions and answers with its last expression.": (
        "end_to_end/test_main_job.py::test_a_program_calls_tools_and_answers_with_its_last_expression",
    ),
    "A failing tool raises where it was called; a mistaken call names what was meant.": (
        "end_to_end/test_main_job.py::test_a_failing_tool_raises_its_own_words_where_the_program_called_it",
        "end_to_end/test_main_job.py::test_a_mistaken_call_names_what_was_meant",
    ),
    "Calls run side by side, in threads, coroutines and `parallel`.": (
        "server/sandbox/test_programs.py::test_five_calls_are_in_flight_at_once",
        "server/sandbox/test_programs.py::test_parallel_keeps_order_and_returns_errors_where_asked",
    ),
    "A session keeps variables; other sessions and owners see none of them.": (
        "end_to_end/test_main_job.py::test_a_session_keeps_variables_and_no_session_keeps_none",
        "server/sandbox/test_sessions.py::test_owners_with_the_same_session_name_share_nothing",
    ),
    "A retry repeats no call that succeeded, and one of nothing is refused.": (
        "end_to_end/test_main_job.py::test_retry_of_repeats_no_call_that_succeeded",
        "server/test_ledger.py::test_a_write_whose_outcome_is_unknown_is_not_made_again",
        "end_to_end/test_bad_input.py::test_a_bad_program_is_a_clear_answer",
    ),
    "A program that outlasts the host's patience is joined again.": (
        "end_to_end/test_main_job.py::test_a_program_that_takes_longer_than_hosts_wait_is_joined_again",
    ),
    "Long output is cut and kept whole; images come back as images.": (
        "end_to_end/test_main_job.py::test_long_output_is_cut_and_kept_whole_as_a_resource",
        "end_to_end/test_main_job.py::test_an_image_comes_back_as_an_image_and_a_file",
    ),
    "The shape of results is learned, never their values.": (
        "end_to_end/test_main_job.py::test_the_shape_of_a_result_is_learned_and_shown",
        "catalog/test_shape.py::test_no_value_and_no_telling_key_is_kept",
    ),
    "No frame of a hostile program gets past the parent; the next run is fine.": (
        "server/sandbox/test_hostile_programs.py::test_forged_frame_ends_the_program",
        "server/sandbox/test_frames.py::test_any_bytes_are_a_violation_or_a_message",
    ),
    "Programs see nothing of our environment, and their time, memory and output are bounded.": (
        "server/sandbox/test_hostile_programs.py::test_environment_holds_nothing_of_ours",
        "server/sandbox/test_hostile_programs.py::test_memory_is_limited_and_variables_survive",
        "server/sandbox/test_hostile_programs.py::test_much_output_is_cut_and_a_flood_ends_the_program",
    ),
    "A call costs little more through a program than made directly.": ("benchmarks/execute.py",),
    # Policy and secrets
    "What a person blocked or wants to be asked about is not called.": (
        "end_to_end/test_main_job.py::test_a_call_that_needs_a_person_is_refused_with_the_line_to_write",
        "server/test_policy.py::test_annotations_never_lift_a_persons_block",
    ),
    "A call that must ask suspends its program until a person answers, in both eras, and is made once at most.": (
        "end_to_end/test_approvals.py::test_an_allowed_call_is_made_and_the_question_shows_tool_and_arguments",
        "end_to_end/test_approvals.py::test_a_call_that_is_not_allowed_is_refused_and_the_program_goes_on",
        "end_to_end/test_approvals.py::test_a_state_is_good_for_one_answer_to_the_same_call",
        "end_to_end/test_approvals.py::test_a_program_that_died_with_its_server_while_it_asked_has_not_made_the_call",
        "end_to_end/test_approvals.py::test_always_is_kept_for_the_tool_as_it_was_and_never_beats_a_block",
    ),
    "Secrets are masked before anything is written.": (
        "server/test_scrub.py::test_the_usual_shapes_of_secrets_are_masked_inside_any_text",
        "server/store/test_executions.py::test_an_execution_is_kept_without_secrets",
    ),
    # Saved functions
    "A program that worked becomes a function that another host finds and calls.": (
        "end_to_end/test_main_job.py::test_a_clean_run_saves_its_function_and_another_host_finds_and_calls_it",
    ),
    "The same again counts; another signature or other tools make another function.": (
        "server/library/test_library.py::test_the_same_code_again_counts_and_makes_no_version",
        "server/library/test_library.py::"
        "test_another_signature_or_other_tools_make_another_function_under_its_own_name",
    ),
    "Saved functions are resources: listed, completed, read by version, and their changes told in both eras.": (
        "end_to_end/test_protocol.py::test_saved_functions_are_listed_completed_and_read_by_version",
        "end_to_end/test_protocol.py::test_a_listener_hears_of_a_function_that_another_host_saved",
        "end_to_end/test_protocol.py::"
        "test_a_host_of_the_older_revision_is_told_and_hears_more_of_what_it_subscribed_to",
    ),
    "Functions are exported and imported as a folder; a tampered one is refused.": (
        "server/library/test_share.py::test_an_export_is_an_agent_skill_that_anybody_can_read",
        "server/library/test_share.py::test_a_tampered_folder_is_refused_with_the_reason",
    ),
    "kill -9 at random points loses nothing saved and leaves nothing running.": (
        "end_to_end/test_kill.py::test_kill_9_at_random_points_loses_nothing_and_leaves_nothing",
        "server/library/test_library.py::test_a_writer_killed_at_any_moment_leaves_whole_functions_only",
    ),
    # The agent
    "The agent solves a task with two model calls and repairs from the error.": (
        "client/test_agent.py::test_task_is_answered_with_two_model_calls",
        "client/test_agent.py::test_failing_program_is_repaired_from_its_error_line_and_values",
    ),
    "Whatever a model says, a run ends within its budget and writes once.": (
        "client/test_agent.py::test_whatever_the_model_says_the_run_ends_within_budget_and_writes_once",
    ),
    "Every step is in the trace before the next; Ctrl-C leaves a readable one.": (
        "client/test_trace.py::test_step_is_readable_before_the_next_one_happens",
        "client/test_ask.py::test_ctrl_c_leaves_a_readable_trace_and_exit_code_130",
    ),
    # Bad input
    "A configuration that cannot be understood is refused with the reason; a broken entry costs itself.": (
        "server/test_config.py::test_a_file_that_cannot_be_understood_is_refused_with_the_reason",
        "server/test_config.py::test_a_broken_entry_costs_itself_alone_and_is_named",
        "server/test_config.py::test_a_hosts_own_file_works_unchanged",
    ),
    "Bad code, arguments and requests get a clear answer, and nothing is lost.": (
        "end_to_end/test_bad_input.py::test_a_bad_program_is_a_clear_answer",
        "end_to_end/test_bad_input.py::test_a_bad_argument_of_a_tool_is_named_and_nothing_is_sent",
        "end_to_end/test_bad_input.py::test_a_bad_request_for_tools_is_a_clear_answer",
    ),
    "A store that is locked, full, damaged, newer or gone is said, and left as it is.": (
        "end_to_end/test_bad_input.py::test_a_store_that_cannot_be_used_is_said_and_left_as_it_is",
        "end_to_end/test_bad_input.py::test_a_store_deleted_while_serving_takes_no_promise_and_is_made_again",
        "end_to_end/test_bad_input.py::test_a_full_disk_costs_what_is_kept_and_not_the_answer",
    ),
    "A server that was down, an old list and an edited file are read again; no configuration replaces another's.": (
        "end_to_end/test_staying_current.py::test_a_server_that_was_down_at_start_is_found_when_it_comes_up",
        "end_to_end/test_staying_current.py::test_an_old_list_is_read_again_while_the_server_runs",
        "end_to_end/test_staying_current.py::test_an_edited_document_is_read_again_at_the_next_start",
        "end_to_end/test_staying_current.py::test_an_edited_module_is_read_again_at_the_next_start",
        "end_to_end/test_staying_current.py::test_servers_of_one_name_in_two_configurations_do_not_replace_each_other",
    ),
    # The agent
    "An assert is never weakened by a repair, and a repair writes nothing once more.": (
        "client/test_failures.py::test_assert_is_never_weakened",
        "client/test_failures.py::test_a_repair_that_writes_once_more_is_not_run",
    ),
    "A killed run goes on from its trace as if it had not been killed; in the middle of a write it stops.": (
        "end_to_end/test_resume.py::test_a_run_killed_after_any_event_goes_on_as_if_it_had_not_been",
        "end_to_end/test_resume.py::test_a_process_killed_after_any_event_is_resumed_and_ends_as_if_it_had_not_been",
        "end_to_end/test_resume.py::test_between_start_and_end_of_a_write_a_resumed_run_stops_and_writes_nothing",
    ),
    "A retry that writes something else than before is made only if a person says so.": (
        "end_to_end/test_approvals.py::test_a_changed_write_in_a_retry_is_made_only_if_a_person_says_so",
        "server/test_ledger.py::test_a_write_that_may_be_an_earlier_one_in_other_words_is_for_a_person_to_decide",
    ),
    "What a program of the agent would ask is asked once, before it runs; budgets hold inside it.": (
        "end_to_end/test_agent_approvals.py::test_all_calls_that_ask_are_shown_at_once_and_asked_about_once",
        "end_to_end/test_agent_approvals.py::test_a_program_is_stopped_at_the_budget_of_writes_and_at_that_of_calls",
    ),
    "A wrong function is never offered, and none runs against a tool that it was not verified with.": (
        "server/test_functions_life.py::test_a_wrong_function_is_never_offered_and_says_why",
        "server/test_functions_life.py::test_no_function_runs_against_a_tool_that_it_was_not_verified_with",
    ),
    "Two hosts that save at once lose nothing.": (
        "server/test_functions_life.py::test_two_hosts_that_save_at_once_lose_nothing",
    ),
    "A host's own model solves tasks through sampling, in both eras.": (
        "client/test_solve_server.py::test_a_task_is_solved_with_the_hosts_model_and_the_persons_tools",
    ),
    "A report is made of traces alone and finds every write made twice and every budget passed.": (
        "client/test_report.py::test_a_write_made_again_by_a_retry_is_a_duplicate",
        "client/test_report.py::test_budgets_that_were_passed_are_found_in_events_and_in_what_is_said",
    ),
    # The repository
    "Importing anything but training and local models imports no torch, and serving neither.": (
        "test_layout.py::test_importing_any_module_imports_no_torch",
        "server/index/woven/test_shipped.py::"
        "test_a_server_weaves_and_answers_with_no_network_no_torch_and_nothing_fetched",
    ),
    "Modules import on every platform.": ("test_layout.py::test_modules_import_where_posix_modules_are_missing",),
    "Client and server meet only over MCP, and a contract that is broken fires.": (
        "test_layout.py::test_an_import_contract_fires_when_it_is_broken",
    ),
    "Every command is documented with examples; the documents' snippets run.": (
        "test_docs.py::test_every_command_is_documented_and_its_help_has_examples",
        "test_docs.py::test_python_snippets_run_as_they_stand",
    ),
}
